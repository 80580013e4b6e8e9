/** Whether to write colours to a stream. As other programs have it: FORCE_COLOR before NO_COLOR before what the stream is. */
export function hasColor(stream: NodeJS.WriteStream): boolean {
  const { FORCE_COLOR: force, NO_COLOR: none } = process.env
  if (force !== undefined) return force !== '0' && force !== 'false'
  return (none ?? '') === '' && stream.isTTY === true
}
