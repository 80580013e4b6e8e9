/** Sets the header fields that make a browser careful, and takes away those that tell what runs behind. What the endpoint set itself stays. */
import { definePlugin } from 'sluice/plugin'
import { fieldsOf, options, SEEN } from './fields.ts'

export default definePlugin({
  name: 'security-headers',
  options,
  sees: SEEN,
  setup(given) {
    const fields = fieldsOf(given)
    const { remove = ['server', 'x-powered-by', 'x-aspnet-version', 'x-aspnetmvc-version'], override = false } = given
    return {
      onResponse(res) {
        for (const name of remove) res.headers.delete(name)
        for (const [name, value] of fields) if (override || !res.headers.has(name)) res.headers.set(name, value)
      },
    }
  },
})
