/** What a visitor is shown: a page for people, problem details (RFC 9457) for programs. */

export interface Words {
  readonly title: string
  readonly message: string
  readonly lang: string
  /** Milliseconds; null: nobody knows. */
  readonly until: number | null
}

/** Needs nothing from elsewhere: whatever it would ask for is under maintenance, too. */
export function htmlPage({ title, message, lang, until }: Words): string {
  const time = until === null ? '' : `\n<p><small><time datetime="${iso(until)}">${readable(until)}</time></small></p>`
  return `<!doctype html>
<html lang="${escaped(lang)}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${escaped(title)}</title>
<style>
  :root { color-scheme: light dark; }
  body { font: 1.125rem/1.6 system-ui, sans-serif; display: grid; min-height: 90vh; place-content: center; margin: 0; padding: 1.5rem; }
  main { max-width: 34rem; border-left: 0.3rem solid #d97706; padding-left: 1.5rem; }
  h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 0.5rem; }
  p { margin: 0.5rem 0 0; overflow-wrap: anywhere; }
  small { opacity: 0.7; }
</style>
<main>
<h1>${escaped(title)}</h1>
<p>${escaped(message)}</p>${time}
</main>
</html>
`
}

export function problemDetails({ title, message, until }: Words, status: number): string {
  return `${JSON.stringify({ title, status, detail: message, ...(until === null ? {} : { until: iso(until) }) })}\n`
}

/** Would the client rather have JSON than a page (RFC 9110 §12.5.1)? What is equal gets the page. */
export function prefersJson(accept: string): boolean {
  let html = 0
  let json = 0
  for (const range of accept.split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim().toLowerCase())
    const weight = parameters.find((parameter) => parameter.startsWith('q='))
    const q = weight === undefined ? 1 : Number(weight.slice(2)) || 0
    // What names the type counts for it alone; what stands for any type decides nothing.
    if (type === 'text/html' || type === 'application/xhtml+xml') html = Math.max(html, q)
    else if (type === 'application/json' || /^application\/[\w.-]+\+json$/.test(type)) json = Math.max(json, q)
  }
  return json > html
}

function iso(time: number): string {
  return new Date(time).toISOString()
}

function readable(time: number): string {
  return `${iso(time).slice(0, 16).replace('T', ' ')} UTC`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
