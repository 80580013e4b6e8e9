import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { normalise } from './normalise.ts'
import { judge, RULES } from './rules.ts'

const ATTACKS: readonly string[] = [
  "' or '1'='1",
  "' OR 1=1--",
  "1' or 1=1 -- -",
  '1 or 1=1',
  '1 OR 17=17',
  '" or ""="',
  "admin'--",
  "admin' #",
  "admin'/*",
  "x' AND email IS NULL; --",
  "1' UNION SELECT NULL,NULL,NULL--",
  '-1 union all select 1,2,3',
  '-1 UNION/**/SELECT/**/1',
  '-1/*!50000UNION*//*!50000SELECT*/1,2',
  '-1 uNiOn%0aSeLeCt 1',
  '%2527%2520or%25201%253D1',
  "1'%20or%20'1'%3d'1",
  '%u0027 or 1=1',
  '\\u0027 or 1=1',
  '&#39; or 1=1',
  '＇ or 1=1',
  '’ or 1=1--',
  "1'; DROP TABLE users--",
  "1; exec xp_cmdshell('dir')",
  "'; waitfor delay '0:0:5'--",
  "1' AND SLEEP(5)#",
  '1 and (select * from (select(sleep(5)))a)',
  "1' and pg_sleep(5)--",
  "'||(select 1 from pg_sleep(5))||'",
  '1 and benchmark(5000000,md5(1))',
  "1' AND extractvalue(1,concat(0x7e,version()))-- -",
  '1 and updatexml(1,concat(0x7e,(select user())),1)',
  "' union select table_name from information_schema.tables--",
  '1 order by 10--',
  "' order by 3-- ",
  "1' and ascii(substring((select password from users limit 1),1,1))>64--",
  "1' and (select case when (1=1) then 1 else 0 end)='1",
  "' and exists(select * from users)--",
  "1 into outfile '/var/www/x.php'",
  "load_file('/etc/passwd')",
  "' having 1=1--",
  "' group by users.id having 1=1--",
  "1' or 'a' like 'a",
  "' or not '1'='2",
  "') or ('1'='1",
  '1 && 1=1',
  '1 || 1=1',
  "'=''or'",
  "insert into users values (1,'a')--",
  '1;delete from users where 1=1',
  '1;update users set admin=1',
  "' or true--",
]

const HARMLESS: readonly string[] = [
  "O'Brien",
  "it's a dog's life, isn't it?",
  'Select the best option from the list',
  'please select an item from our catalogue and order it',
  'union square',
  'the European Union selects its candidates',
  'drop me a line',
  'drop table reservations are not possible',
  'How do I update my account settings?',
  'update my profile; insert coin',
  'delete from my list, please',
  'create table for two',
  'rock and roll, or 1 of 2',
  '5 or 6 and 7',
  'a=b and c=d',
  'x > 1 and y < 2',
  'C# or F#',
  'price: 10 -- 20',
  '#hashtag',
  '-- signature',
  '"quoted" text; more text',
  "'n' roll",
  '{"a": "b"}',
  'f47ac10b-58cc-4372-a567-0e02b2c3d479',
  '2026-11-28T16:00:00Z',
  'https://example.com/?a=1&b=2#top',
  'SGVsbG8gd29ybGQ=',
  '0x1F4A9',
  'let me sleep (8 hours)',
  'having fun, group by group',
  'user@example.com',
  'Müller & Söhne (GmbH)',
  'SELECT',
  'order by 5 pm',
  "rock'n'roll and blues",
  'This is the "best" or "worst" day',
  'Is 2 = 2 or not?',
  'cast (1) of characters',
  "McDonald's -- the one near the station",
  'char(s) and varchar',
  'red; select one, please',
  'a "=" sign',
  'the "yes" and "no" answers',
]

test('attacks reach the threshold, however they are written', () => {
  const missed = ATTACKS.filter((attack) => (judge(normalise(attack, true), RULES)?.score ?? 0) < 5)
  assert.equal(missed, [])
})

test('what people write does not', () => {
  const wrong = HARMLESS.flatMap((text) => {
    const finding = judge(normalise(text, true), RULES)
    return finding !== null && finding.score >= 5 ? [`${text}: ${finding.ids}`] : []
  })
  assert.equal(wrong, [])
})

test('every rule has an id of its own and is needed by an attack', () => {
  assert.is(new Set(RULES.map(({ id }) => id)).size, RULES.length)
  const texts = ATTACKS.map((attack) => normalise(attack, true))
  const more = [
    '0x61646d696e',
    '1; select x',
    "' , 'x",
    'concat_ws(',
    '-- a@@version',
    'select a from b',
    'create table a',
    'pg_shadow',
    'alter table b',
  ].map((text) => normalise(text, false))
  assert.equal(
    RULES.filter(({ pattern }) => ![...texts, ...more].some((text) => pattern.test(text))).map(({ id }) => id),
    [],
  )
})

test('no expression repeats without a bound', () => {
  for (const { id, pattern } of RULES) {
    const source = pattern.source.replace(/\\./g, 'x').replace(/\[[^\]]*\]/g, 'x')
    assert.not.match(source, /[*+]|\{\d+,\}/, id)
    // A bounded repeat of a repeat would multiply.
    assert.not.match(source, /\)\{/, id)
    assert.is(pattern.flags, '', id)
  }
})

test('hostile text costs no more than its length', () => {
  const units = [
    "'",
    "' ",
    '" or ',
    "' or '",
    'select ',
    'select a from ',
    'union ',
    '(',
    '1=',
    '/*',
    '*/',
    '/**/',
    '%',
    '%25',
    '%27',
    '\\u',
    '&#',
    '-- ',
    ';',
    'or not (',
    'case when ',
    '＇',
    ' ',
    '+',
    'x',
    '%c3',
    '0x',
    'between a ',
    '`',
  ]
  const cost = (text: string): number => {
    const began = process.cpuUsage()
    judge(normalise(text, true), RULES)
    const { user, system } = process.cpuUsage(began)
    return (user + system) / 1000
  }
  for (const unit of units) {
    const [small, large] = [20_000, 160_000].map((size) => unit.repeat(Math.ceil(size / unit.length)).slice(0, size))
    const least = (text: string): number => Math.min(cost(text), cost(text), cost(text))
    // Eight times the length; squared would be sixty-four. What takes no time cannot be compared.
    assert.ok(least(large!) < 24 * Math.max(least(small!), 4), `${unit}: ${least(small!)} ms, then ${least(large!)} ms`)
  }
})

test('escapes within escapes, comments and white space come to one spelling', () => {
  const spellings: Readonly<Record<string, string>> = {
    'A%2520B': 'a b',
    'a/**/b/* x */c': 'a b c',
    '/*!50000Select*/': 'select',
    'a/*b': 'a/*b',
    'a%0a%09%0bb%00c': 'a b c',
    '%ff%27': "\u00ff'",
    '%e2%80%99': "'",
    ｓｅｌｅｃｔ: 'select',
    'a&#x27;&quot;&#39;': "a'\"'",
  }
  for (const [text, wanted] of Object.entries(spellings)) assert.is(normalise(text, false), wanted, text)
  assert.is(normalise('a+b', true), 'a b')
  assert.is(normalise('a+b', false), 'a+b')
})

test.run()
