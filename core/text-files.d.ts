/** What a config or a plugin gets by `import table from './table.csv'`: the text of the file. Both bundlers read it so. */

declare module '*.csv' {
  const text: string
  export default text
}

declare module '*.txt' {
  const text: string
  export default text
}
