/** HTTP-date → milliseconds since the epoch (RFC 9110 §5.6.7), in its three forms and in no other. Pure. */

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const FIXED = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/
const RFC850 = /^(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (\d\d)-([A-Z][a-z]{2})-(\d\d) (\d\d:\d\d:\d\d) GMT$/
const ASCTIME = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([A-Z][a-z]{2}) ([ \d]\d) (\d\d:\d\d:\d\d) (\d{4})$/

let lastText = ''
let lastTime = Number.NaN

/** NaN if it is none. `now`: which century a year of two digits is in depends on it. */
export function parseHttpDate(text: string, now: number): number {
  // Answers of one second have the same Date.
  if (text === lastText) return lastTime
  if (FIXED.test(text)) {
    lastTime = utc(twoDigits(text, 12) * 100 + twoDigits(text, 14), text.slice(8, 11), twoDigits(text, 5), text.slice(17, 25))
    lastText = text
    return lastTime
  }
  let parts = RFC850.exec(text)
  if (parts !== null) {
    const century = Math.floor(new Date(now).getUTCFullYear() / 100) * 100
    const time = utc(century + Number(parts[3]), parts[2]!, Number(parts[1]), parts[4]!)
    // More than 50 years in the future is the most recent year with these digits.
    return time > now + FIFTY_YEARS_MS ? utc(century - 100 + Number(parts[3]), parts[2]!, Number(parts[1]), parts[4]!) : time
  }
  parts = ASCTIME.exec(text)
  return parts === null ? Number.NaN : utc(Number(parts[4]), parts[1]!, Number(parts[2]), parts[3]!)
}

const FIFTY_YEARS_MS = 50 * 365.25 * 86_400_000

/** `time`: `23:59:59`. */
function utc(year: number, monthName: string, day: number, time: string): number {
  const month = MONTHS.indexOf(monthName)
  const [hours, minutes, seconds] = [twoDigits(time, 0), twoDigits(time, 3), twoDigits(time, 6)]
  if (month < 0 || day < 1 || hours > 23 || minutes > 59 || seconds > 60) return Number.NaN
  const ms = Date.UTC(year, month, day, hours, minutes, seconds)
  return new Date(ms).getUTCDate() === day || seconds === 60 ? ms : Number.NaN
}

function twoDigits(text: string, at: number): number {
  return text.charCodeAt(at) * 10 + text.charCodeAt(at + 1) - 528
}
