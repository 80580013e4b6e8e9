/** What must hold between the options of one termination of TLS. */
import type { Path } from './positions.ts'
import type { Plain, Report } from './report.ts'

export function checkTermination(options: Plain, path: Path, report: Report): void {
  const { clientCertificate, ca, forwardClientCertificate, keyLog } = options
  if (keyLog !== undefined)
    report.warn(
      [...path, 'keyLog'],
      'whoever reads this file can read all traffic of the listener: for debugging alone, not for production',
    )
  if (clientCertificate !== undefined && ca === undefined)
    report.error([...path, 'clientCertificate'], "whose certificates? add ca: './ca.pem', the authorities that sign those of clients")
  if (clientCertificate !== undefined) return
  if (ca !== undefined)
    report.error([...path, 'ca'], "clients are not asked for certificates: add clientCertificate: 'require' or 'request'")
  if (forwardClientCertificate === true)
    report.error(
      [...path, 'forwardClientCertificate'],
      "clients are not asked for certificates: add clientCertificate: 'require' or 'request'",
    )
}
