/** What a body is by how it begins, whatever it says of itself: kinds of files that filters are asked about. Pure. */

/** Bytes that are looked at, at the most. */
export const SIGNATURE_BYTES = 512

interface Signature {
  readonly type: string
  readonly at: number
  /** latin1 */
  readonly bytes: string
}

const signature = (type: string, bytes: string, at = 0): Signature => ({ type, at, bytes })
const signatures: readonly Signature[] = [
  signature('application/vnd.microsoft.portable-executable', 'MZ'),
  signature('application/x-executable', '\x7fELF'),
  ...['\xfe\xed\xfa\xce', '\xfe\xed\xfa\xcf', '\xce\xfa\xed\xfe', '\xcf\xfa\xed\xfe'].map((bytes) =>
    signature('application/x-mach-binary', bytes),
  ),
  // Also fat binaries of Apple's.
  signature('application/java-vm', '\xca\xfe\xba\xbe'),
  signature('application/wasm', '\0asm'),
  signature('application/vnd.debian.binary-package', '!<arch>\ndebian'),
  signature('application/x-rpm', '\xed\xab\xee\xdb'),
  // Old documents of Microsoft's, and installers.
  signature('application/x-ole-storage', '\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1'),
  signature('application/x-shockwave-flash', 'FWS'),
  signature('application/x-shockwave-flash', 'CWS'),
  signature('application/x-sh', '#!/'),
  // Documents of offices, packages of Java's and Android's, too.
  ...['PK\x03\x04', 'PK\x05\x06'].map((bytes) => signature('application/zip', bytes)),
  signature('application/vnd.rar', 'Rar!\x1a\x07'),
  signature('application/x-7z-compressed', '7z\xbc\xaf\x27\x1c'),
  signature('application/gzip', '\x1f\x8b'),
  signature('application/x-bzip2', 'BZh'),
  signature('application/x-xz', '\xfd7zXZ\0'),
  signature('application/zstd', '\x28\xb5\x2f\xfd'),
  signature('application/x-tar', 'ustar', 257),
  signature('application/vnd.ms-cab-compressed', 'MSCF'),
  signature('application/pdf', '%PDF-'),
  signature('application/postscript', '%!PS'),
  signature('text/rtf', '{\\rtf'),
  signature('image/png', '\x89PNG\r\n\x1a\n'),
  signature('image/jpeg', '\xff\xd8\xff'),
  ...['GIF87a', 'GIF89a'].map((bytes) => signature('image/gif', bytes)),
  signature('image/bmp', 'BM'),
  ...['II*\0', 'MM\0*'].map((bytes) => signature('image/tiff', bytes)),
  signature('image/x-icon', '\0\0\x01\0'),
  ...['avif', 'avis'].map((brand) => signature('image/avif', `ftyp${brand}`, 4)),
  ...['heic', 'heix', 'mif1'].map((brand) => signature('image/heic', `ftyp${brand}`, 4)),
  signature('video/quicktime', 'ftypqt', 4),
  signature('audio/mp4', 'ftypM4A', 4),
  signature('video/mp4', 'ftyp', 4),
  signature('video/webm', '\x1a\x45\xdf\xa3'),
  signature('video/x-flv', 'FLV\x01'),
  signature('video/mpeg', '\0\0\x01\xba'),
  signature('audio/mpeg', 'ID3'),
  signature('audio/flac', 'fLaC'),
  signature('application/ogg', 'OggS'),
]
/** Of what RIFF holds, by the name behind its length. */
const riff: Readonly<Record<string, string>> = { WEBP: 'image/webp', 'AVI ': 'video/x-msvideo', WAVE: 'audio/wav' }
const HTML = /^[\t\n\f\r ]*(?:<!doctype html|<(?:html|head|script|iframe|body)[\t\n\f\r >])/i

/** Empty: it begins like nothing that is known. */
export function sniff(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, SIGNATURE_BYTES)).latin1Slice()
  for (const { type, at, bytes: begins } of signatures) if (text.startsWith(begins, at)) return type
  if (text.startsWith('RIFF')) return riff[text.slice(8, 12)] ?? ''
  return HTML.test(text) ? 'text/html' : ''
}
