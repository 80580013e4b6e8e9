/** The version of what `sluice/plugin` offers to plugins: the one place that says it. It grows when a plugin written before would not run any more. */
export const apiVersion = 1
