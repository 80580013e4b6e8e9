import { test } from 'uvu'

test('changes what others see', () => {
  process.env.SLUICE_LEFT = '1'
  Math.random = () => 0.5
})
test.run()
