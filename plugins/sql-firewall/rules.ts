/**
 * What SQL injection looks like: rules with an id and a score, on text that `normalise` has brought to one spelling. No expression here
 * repeats without a bound, so that a match costs at most the length of the text times a constant, whatever the text is.
 */

export interface Rule {
  readonly id: string
  /** 5 alone is an attack by the default threshold. */
  readonly score: number
  readonly pattern: RegExp
  readonly about: string
}

/** Lower case, one space for any white space and comment, percent-decoded: so the expressions need neither `i` nor `\s*`. */
export const RULES: readonly Rule[] = [
  rule('sqli-101', 5, /\bunion(?: all| distinct| distinctrow)? ?\(? ?select\b/, 'UNION SELECT'),
  rule(
    'sqli-102',
    5,
    /(?:["'`)\d] ?|\b)(?:or|and|xor|having|where|\|\||&&) ?(?:not )?\(? ?(\d{1,9}) ?(?:=|<=>|like|rlike) ?\(? ?\1\b/,
    'number = number',
  ),
  rule(
    'sqli-103',
    5,
    /\b(?:or|and|xor|where|having) ?(?:not )?\(? ?(["'`])([^"'`]{0,40})\1 ?(?:=|<=>|like|rlike) ?\(? ?["'`]\2/,
    "'text' = 'text'",
  ),
  rule(
    'sqli-104',
    5,
    /["'`] ?\)? ?(?:or|and|xor|\|\||&&) ?(?:not )?\(?(?: ?exists ?\(| ?true\b| ?false\b| ?\(? ?select\b| ?["'`\d][^"'`=<>]{0,40}["'`]? ?(?:=|<|>|!=|like |in ?\()| ?[\w.]{1,40} ?(?:=|<|>|!=|is null|is not null|like ["'`]|in ?\())/,
    'a quote, then a condition',
  ),
  rule('sqli-105', 4, /["'`]\)? ?(?:--|#|\/\*|;%00)/, 'a quote, then a comment'),
  rule(
    'sqli-106',
    5,
    /[\w"'`)] ?; ?(?:insert into |update [\w.]{1,60} set |delete from |drop (?:table|database|schema|view|user|index|function|procedure|trigger)\b|alter (?:table|user|database|role|login) |create (?:table|database|schema|view|user|role|function|procedure|trigger) |truncate table |exec(?:ute)? ?\(? ?[\w'"@]|declare @|grant [\w, ]{1,40} (?:on|to) |revoke [\w, ]{1,40} (?:on|from) |merge into |replace into |copy [\w.]{1,60} (?:from|to) |shutdown(?: with|;|--|$))/,
    'a second statement',
  ),
  rule(
    'sqli-107',
    5,
    /\b(?:sleep|benchmark|pg_sleep|pg_sleep_for|dbms_lock\.sleep|randomblob) ?\( ?\(?["']?[\d.]{1,12}["']? ?[),]|\bdbms_pipe\.receive_message ?\(/,
    'waits',
  ),
  rule('sqli-108', 5, /\bwaitfor (?:delay|time) ?["'(]/, 'waits'),
  rule(
    'sqli-109',
    4,
    /\b(?:information_schema|pg_catalog|sqlite_master|sqlite_schema|sysobjects|syscolumns|sysusers|all_tables|user_tables|dba_users)\b/,
    'names the schema',
  ),
  rule(
    'sqli-110',
    4,
    /\b(?:mysql\.user|master\.\.|sys\.(?:tables|objects|databases|user\$)|pg_shadow|pg_user\b|v\$version)/,
    'names the system',
  ),
  rule('sqli-111', 4, /@@(?:version|datadir|hostname|basedir|global|servername|tmpdir)\b/, 'system variables'),
  rule(
    'sqli-112',
    5,
    /\b(?:load_file|xp_cmdshell|xp_dirtree|xp_regread|sp_executesql|sp_oacreate|utl_http\.request|utl_inaddr|dbms_ldap|lo_import|lo_export|pg_read_file|openrowset|opendatasource)\b ?[('"]/,
    'reaches out of the database',
  ),
  rule('sqli-113', 5, /\binto (?:outfile|dumpfile) ?["'`]/, 'writes a file'),
  rule(
    'sqli-114',
    5,
    /\b(?:extractvalue|updatexml|xmltype|ctxsys\.drithsx\.sn|exp) ?\( ?(?:\d{1,9} ?,|~|concat|\(? ?select)/,
    'errors that tell',
  ),
  rule('sqli-115', 3, /\b(?:group_concat|concat_ws|string_agg|listagg|json_arrayagg) ?\(/, 'gathers rows'),
  rule(
    'sqli-116',
    3,
    /\b(?:concat|char|chr|nchar|unhex|hex|ascii|ord|substring|substr|mid|convert|cast) ?\( ?(?:0x[0-9a-f]|\d{1,3} ?,|\(? ?select\b|(?:user|database|version|current_user) ?\()/,
    'functions to probe with',
  ),
  rule(
    'sqli-117',
    4,
    /\(? ?select (?:\*|count ?\(|top \d|distinct |null\b|@@|[\w.`"[\]]{1,60} ?, ?[\w.`"[\]]{1,60} from )/,
    'SELECT of columns',
  ),
  rule('sqli-118', 2, /\bselect\b.{1,200}\bfrom\b/, 'SELECT … FROM'),
  rule(
    'sqli-119',
    4,
    /\b(?:insert into [\w.`"[\]]{1,80} ?(?:\(|values|select)|delete from [\w.`"[\]]{1,80} ?(?:where|;|--|#|$)|update [\w.`"[\]]{1,80} set [\w.`"[\]]{1,80} ?=)/,
    'changes rows',
  ),
  rule(
    'sqli-120',
    4,
    /\b(?:drop|truncate|alter|create) (?:table|database|schema|view|user|login|procedure|function|trigger|index) (?:if (?:not )?exists )?[\w.`"[\]]/,
    'changes the schema',
  ),
  rule('sqli-121', 4, /["'`\d)] ?(?:order|group) by \d{1,3}\b/, 'counts columns'),
  rule(
    'sqli-122',
    3,
    /\b(?:if|iif|elt|decode) ?\( ?(?:\(? ?select\b|\d{1,9} ?[=<>]|ascii|ord|substr|mid|length|exists)|\bcase when .{1,80} then /,
    'asks yes or no',
  ),
  rule('sqli-123', 2, /["'`] ?(?:\|\||\+|,) ?\(? ?(?:select\b|["'`\d(])/, 'a quote, then goes on'),
  rule(
    'sqli-124',
    3,
    /["'`] ?\)? ?(?:having|procedure analyse|limit \d|offset \d|into @|rlike|regexp|between .{1,40} and)\b/,
    'a quote, then a clause',
  ),
  rule('sqli-125', 1, /^[^"'`]{0,80}["'`][^"'`]{0,400}$/, 'a quote alone'),
  rule('sqli-126', 1, /(?:--|#)[ a-z0-9]{0,8}$/, 'a comment at the end'),
  rule('sqli-127', 2, /\b0x[0-9a-f]{8}/, 'hexadecimal'),
  rule('sqli-128', 3, /["'`] ?(?:=|<=>|<>|!=|\^) ?["'`]/, 'a quote compared with a quote'),
  rule('sqli-129', 2, /["'`] ?(?:or|and|xor|\|\||&&) ?["'`]/, 'a quote or a quote'),
  rule('sqli-130', 4, /["'`)\d] ?; ?(?:select|call|exec|with|set|show|use) /, 'a quote or a number, then a second statement'),
]

function rule(id: string, score: number, pattern: RegExp, about: string): Rule {
  return { id, score, pattern, about }
}

export interface Finding {
  readonly score: number
  /** Of the rules that matched. */
  readonly ids: readonly string[]
}

/** Nothing of SQL can be said with less: most values of a form are done with by one look. */
const NEEDED =
  /["'`;#=(*]|--|\/\*|\bunion\b|\bselect\b|\bor\b|\band\b|\|\||&&|@@|\b(?:into|drop|alter|insert|update|delete|truncate|create|waitfor)\b|_schema|_catalog|sqlite_|sys|tables|0x/

/** `text`: normalised. */
export function judge(text: string, rules: readonly Rule[]): Finding | null {
  if (text.length < 4 || !NEEDED.test(text)) return null
  let score = 0
  const ids: string[] = []
  for (const { id, pattern, score: adds } of rules) {
    if (!pattern.test(text)) continue
    score += adds
    ids.push(id)
  }
  return score === 0 ? null : { score, ids }
}
