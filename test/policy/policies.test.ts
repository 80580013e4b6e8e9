/** What policies keep goes on through reloads, as long as a plan has them, and no longer. */

import bcrypt from 'bcrypt'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Deadlines } from '../../core/deadlines.ts'
import { type Hook, PENDING } from '../../core/hooks.ts'
import { basicAuth, ipAccess } from '../../core/index.ts'
import { RequestHead } from '../../core/net/http1/head.ts'
import { Policies } from '../../core/policy/policies.ts'
import { Recent } from '../../core/policy/recent.ts'

test('one object in two lists is one policy; equal ones are two', () => {
  const policies = new Policies(new Deadlines())
  const set = policies.open('/')
  const one = ipAccess({ deny: '10.0.0.1' })
  assert.is(set.hookOf(one), set.hookOf(one))
  assert.is.not(set.hookOf(one), set.hookOf(ipAccess({ deny: '10.0.0.1' })))
})

test('verified passwords are remembered by the next plan, wherever the policy stands in it, and forgotten when its options change', async () => {
  const policies = new Policies(new Deadlines())
  const ann = basicAuth({ users: { ann: bcrypt.hashSync('kiwi', 4) } })
  const first = policies.open('/')
  assert.is(await asked(first.hookOf(ann)), 'later')
  const second = policies.open('/')
  second.hookOf(ipAccess({ deny: '10.0.0.1' }))
  const again = second.hookOf({ ...ann })
  first.release()
  assert.is(await asked(again), 'at once')
  const third = policies.open('/')
  const changed = third.hookOf(basicAuth({ users: { ann: bcrypt.hashSync('kiwi', 4) } }))
  second.release()
  assert.is(await asked(changed), 'later')
  third.release()
  assert.is(await asked(policies.open('/').hookOf(ann)), 'later')
})

test('a plan may end after all is closed', () => {
  const policies = new Policies(new Deadlines())
  const set = policies.open('/')
  set.hookOf(basicAuth({ users: { ann: 'kiwi' } }))
  policies.close()
  set.release()
})

/** Whether ann is let in, and when. */
async function asked(hook: Hook): Promise<'at once' | 'later'> {
  const request = new RequestHead('', 0, 'GET', 1)
  request.set('Authorization', `Basic ${btoa('ann:kiwi')}`)
  const { promise, resolve } = Promise.withResolvers<unknown>()
  const answer = hook.onRequest!({ request, response: null, ip: '10.0.0.1', part: null, ended: false, resume: resolve })
  assert.is(answer === PENDING ? await promise : answer, null)
  return answer === PENDING ? 'later' : 'at once'
}

test('what is remembered is bounded, and ends', () => {
  const recent = new Recent<number>(2)
  recent.set('a', 1, 100)
  recent.set('b', 2, 100)
  assert.is(recent.get('a', 50), 1)
  recent.set('c', 3, 100)
  assert.equal([recent.get('a', 50), recent.get('b', 50), recent.get('c', 50)], [1, undefined, 3])
  assert.is(recent.get('a', 100), undefined)
  assert.is(recent.size, 1)
})

test.run()
