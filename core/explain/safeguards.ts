/** What keeps an upstream in service, in words: a line for each thing that its plan asks for. */
import type {
  AdaptivePlan,
  BufferPlan,
  CircuitBreakerPlan,
  HealthCheckPlan,
  HedgingPlan,
  OutlierPlan,
  RetryPlan,
  UpstreamPlan,
} from '../plan/upstream-plan.ts'
import { duration } from './format.ts'

export function safeguardsOf({
  retries,
  healthCheck,
  outlier,
  circuitBreaker,
  connections,
  pending,
  hedging,
  adaptive,
  buffer,
}: UpstreamPlan): string[] {
  const waiting = pending === null ? 'nobody waits for one' : `${pending.most} requests wait for one, up to ${duration(pending.maxWait)}`
  return [
    ...(retries === null ? [] : [retriesOf(retries)]),
    ...(hedging === null ? [] : [hedgingOf(hedging)]),
    ...(healthCheck === null ? [] : [healthCheckOf(healthCheck)]),
    ...(outlier === null ? [] : [outlierOf(outlier)]),
    ...(circuitBreaker === null ? [] : [circuitBreakerOf(circuitBreaker)]),
    ...(adaptive === null ? [] : [adaptiveOf(adaptive)]),
    ...(connections === Number.POSITIVE_INFINITY ? [] : [`connections a worker: up to ${connections}; ${waiting}`]),
    ...(buffer === null ? [] : [bufferOf(buffer)]),
  ]
}

function retriesOf({ attempts, onConnect, onReset, onTimeout, statuses }: RetryPlan): string {
  const causes = [...(onConnect ? ['connect'] : []), ...(onReset ? ['reset'] : []), ...(onTimeout ? ['timeout'] : []), ...statuses]
  return `up to ${attempts} tries, on ${causes.join(', ')}`
}

function hedgingOf({ after, quantile }: HedgingPlan): string {
  const late = quantile === null ? `after ${duration(after)}` : `when later than ${percent(quantile)} of the latest answers`
  return `a second endpoint is asked, too, ${late}`
}

function adaptiveOf({ min, max, tolerance, pending, maxWait }: AdaptivePlan): string {
  const waiting = pending === 0 ? 'nobody waits' : `${pending} requests wait, up to ${duration(maxWait)}`
  return `requests under way a worker: ${min} to ${max}, as many as are answered in ${tolerance} times the time of calm; ${waiting}`
}

function healthCheckOf({ type, path, service, interval }: HealthCheckPlan): string {
  const grpc = `grpc.health.v1.Health/Check${service === '' ? '' : ` of ${service}`}`
  return `each endpoint is checked each ${duration(interval)}: ${type === 'http' ? `GET ${path}` : type === 'grpc' ? grpc : type}`
}

function outlierOf({ consecutiveFailures, failureRatio, latency, ejectFor }: OutlierPlan): string {
  const causes = [
    `${consecutiveFailures} failures in a row`,
    ...(failureRatio === Number.POSITIVE_INFINITY ? [] : [`${percent(failureRatio)} of failures`]),
    ...(latency === Number.POSITIVE_INFINITY ? [] : [`answers that take ${duration(latency)}`]),
  ]
  return `an endpoint is ejected for ${duration(ejectFor)} after ${causes.join(', or ')}`
}

function circuitBreakerOf({ failureRatio, minRequests, openFor }: CircuitBreakerPlan): string {
  return `left alone for ${duration(openFor)} when ${percent(failureRatio)} of ${minRequests} requests or more fail`
}

function bufferOf({ request, response, diskBytes }: BufferPlan): string {
  const what = [...(request === null ? [] : ['requests']), ...(response === null ? [] : ['answers'])].join(' and ')
  const memory = Math.round((request ?? response)!.memoryBytes / 1024)
  const disk = diskBytes === 0 ? '' : `, ${Math.round(diskBytes / 1_048_576)} MB of disk for all`
  return `${what} are buffered: ${memory} KB each in memory${disk}`
}

function percent(share: number): string {
  return `${Number((share * 100).toFixed(1))}%`
}
