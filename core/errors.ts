/** The proxy's own errors: one table gives each code its status and its Proxy-Status token (RFC 9209 §2.3). */

export type ErrorOrigin = 'downstream' | 'upstream' | 'plugin' | 'config' | 'internal'
/** May an attempt that ended so be tried again? `if-reused`: only when the connection was a kept-alive one that may have gone stale. */
export type RetryRule = 'never' | 'if-reused' | 'safe'

interface ErrorRow {
  /** What the client gets; 0 when there is nobody left to answer. */
  readonly status: number
  /** RFC 9209 §2.3 error token. */
  readonly token: string
  readonly origin: ErrorOrigin
  readonly retry: RetryRule
  /** One sentence for the body of the answer and for the log. */
  readonly text: string
}

/** Codes are stable: they are the `reason` of the access log and a label of metrics. */
export const errorTable = {
  bad_request: row(400, 'http_request_error', 'downstream', 'never', 'The request is not valid HTTP.'),
  bad_host: row(400, 'http_request_error', 'downstream', 'never', 'The request needs exactly one valid Host.'),
  bad_path: row(
    400,
    'http_request_error',
    'downstream',
    'never',
    'The path has an encoded slash, backslash or NUL, or a malformed escape.',
  ),
  bad_framing: row(400, 'http_request_error', 'downstream', 'never', 'The length of the request body is ambiguous or malformed.'),
  bad_body: row(400, 'http_request_error', 'downstream', 'never', 'The request body is malformed.'),
  unsupported_transfer_coding: row(501, 'http_request_error', 'downstream', 'never', 'Only the transfer coding chunked is understood.'),
  unsupported_method: row(501, 'http_request_error', 'downstream', 'never', 'This listener does not offer that method.'),
  unsupported_version: row(505, 'http_request_error', 'downstream', 'never', 'Only HTTP/1.0 and HTTP/1.1 are understood here.'),
  unsupported_expectation: row(417, 'http_request_error', 'downstream', 'never', 'Only the expectation 100-continue is understood.'),
  uri_too_long: row(414, 'http_request_error', 'downstream', 'never', 'The request target is too long.'),
  head_too_large: row(431, 'http_request_error', 'downstream', 'never', 'The request head is too large.'),
  body_too_large: row(413, 'http_request_error', 'downstream', 'never', 'The request body is too large.'),
  unsupported_content_coding: row(
    415,
    'http_request_error',
    'downstream',
    'never',
    'A hook has to read the request body, and its content coding is not understood: gzip, deflate, br and zstd are.',
  ),
  request_denied: row(403, 'http_request_denied', 'plugin', 'never', 'A plugin refused the request body.'),
  connection_denied: row(0, 'http_request_denied', 'plugin', 'never', 'A plugin refused the connection.'),
  unauthorized: row(401, 'http_request_denied', 'downstream', 'never', 'This needs credentials, and they were not there or not right.'),
  forbidden: row(403, 'http_request_denied', 'downstream', 'never', 'This is not allowed.'),
  rate_limited: row(429, 'http_request_denied', 'downstream', 'never', 'Too many requests: try again later.'),
  policy_busy: row(503, 'connection_limit_reached', 'internal', 'never', 'The proxy cannot look into this request now: try again later.'),
  request_timeout: row(408, 'http_request_error', 'downstream', 'never', 'The request did not arrive in time.'),
  http2_error: row(0, 'http_request_error', 'downstream', 'never', 'The client broke the rules of HTTP/2.'),
  http2_flood: row(0, 'http_request_error', 'downstream', 'never', 'The client sent more frames that only make work than are taken.'),
  client_gone: row(0, 'http_request_error', 'downstream', 'never', 'The client closed the connection.'),
  misdirected_request: row(
    421,
    'http_request_error',
    'downstream',
    'never',
    'This connection was opened with another certificate, or under other rules about those of clients: ask for this host on a connection of its own.',
  ),
  no_destination: row(
    400,
    'http_request_error',
    'downstream',
    'never',
    'This is a forward proxy: ask it for a whole URL (http://host/path), or for a tunnel with CONNECT host:port.',
  ),
  not_redirected: row(
    400,
    'http_request_error',
    'downstream',
    'never',
    'This listener takes what a firewall sends here on its way to elsewhere (transparent), and this was not.',
  ),
  unsupported_scheme: row(
    501,
    'http_request_error',
    'downstream',
    'never',
    'This proxy asks for http:// URLs itself; everything else takes a tunnel: CONNECT host:port.',
  ),
  proxy_auth_required: row(407, 'http_request_denied', 'downstream', 'never', 'This proxy wants a name and a password.'),
  client_refused: row(403, 'http_request_denied', 'config', 'never', 'This proxy does not serve your address (allow.clients).'),
  host_refused: row(403, 'http_request_denied', 'config', 'never', 'This proxy does not reach that host (allow.hosts).'),
  port_refused: row(403, 'http_request_denied', 'config', 'never', 'This proxy does not reach that port (allow.ports).'),
  address_refused: row(
    403,
    'destination_ip_prohibited',
    'config',
    'never',
    "This proxy does not reach that address: it is the proxy's own, local to it, or reserved (allow.networks).",
  ),
  host_blocked: row(403, 'http_request_denied', 'config', 'never', 'A list of this proxy blocks that host (block).'),
  time_refused: row(403, 'http_request_denied', 'config', 'never', 'This proxy does not reach that at this time (allow.times).'),
  quota_exceeded: row(429, 'http_request_denied', 'downstream', 'never', 'The quota is used up.'),
  content_blocked: row(403, 'http_request_denied', 'config', 'never', 'The content filter of this proxy blocks this.'),
  not_cached: row(504, 'http_request_error', 'downstream', 'never', 'The request asks for a stored answer, and there is none.'),
  parent_refused: row(502, 'destination_unavailable', 'upstream', 'never', 'The parent proxy does not lead to that destination.'),
  no_route: row(404, 'destination_not_found', 'config', 'never', 'No route matches this request.'),
  file_not_found: row(404, 'destination_not_found', 'downstream', 'never', 'There is no such file.'),
  file_refused: row(403, 'http_request_denied', 'config', 'never', 'This file is not served.'),
  file_failed: row(500, 'proxy_internal_error', 'internal', 'never', 'The file could not be read.'),
  files_busy: row(503, 'connection_limit_reached', 'internal', 'never', 'Too many files are being sent: try again later.'),
  method_not_allowed: row(405, 'http_request_error', 'downstream', 'never', 'Files are read with GET and HEAD.'),
  precondition_failed: row(412, 'http_request_error', 'downstream', 'never', 'The file is not what the request asks it to be.'),
  range_not_satisfiable: row(416, 'http_request_error', 'downstream', 'never', 'The file ends before the range that was asked for.'),
  loop_detected: row(502, 'proxy_loop_detected', 'config', 'never', 'The request came back to this proxy.'),
  unknown_upstream: row(500, 'proxy_configuration_error', 'config', 'never', 'A plugin named an upstream that does not exist.'),
  no_endpoint: row(503, 'destination_unavailable', 'upstream', 'never', 'No endpoint is available.'),
  circuit_open: row(
    503,
    'destination_unavailable',
    'upstream',
    'never',
    'Too many requests to this upstream have failed: it is left alone for a while.',
  ),
  dns_error: row(502, 'dns_error', 'upstream', 'safe', 'The name of the endpoint does not resolve.'),
  dns_timeout: row(504, 'dns_timeout', 'upstream', 'safe', 'The name of the endpoint did not resolve in time.'),
  connect_refused: row(502, 'connection_refused', 'upstream', 'safe', 'The endpoint refused the connection.'),
  connect_timeout: row(504, 'connection_timeout', 'upstream', 'safe', 'The endpoint did not accept the connection in time.'),
  connect_failed: row(502, 'destination_ip_unroutable', 'upstream', 'safe', 'The endpoint could not be reached.'),
  connection_limit: row(503, 'connection_limit_reached', 'upstream', 'never', 'The limit of connections is reached.'),
  pending_limit: row(503, 'connection_limit_reached', 'upstream', 'never', 'As many requests as may wait for a connection wait already.'),
  pending_timeout: row(
    503,
    'connection_limit_reached',
    'upstream',
    'never',
    'The request has waited for a connection for as long as it may.',
  ),
  concurrency_limit: row(
    503,
    'connection_limit_reached',
    'upstream',
    'never',
    'As many requests as this upstream answers in good time are under way.',
  ),
  tls_error: row(502, 'tls_protocol_error', 'upstream', 'safe', 'The TLS handshake with the endpoint failed.'),
  tls_certificate: row(502, 'tls_certificate_error', 'upstream', 'never', 'The certificate of the endpoint was not accepted.'),
  upstream_closed: row(502, 'connection_terminated', 'upstream', 'if-reused', 'The endpoint closed the connection before it answered.'),
  response_incomplete: row(
    502,
    'http_response_incomplete',
    'upstream',
    'never',
    'The endpoint closed the connection before its answer was complete.',
  ),
  response_timeout: row(504, 'http_response_timeout', 'upstream', 'never', 'The endpoint did not answer in time.'),
  response_malformed: row(502, 'http_protocol_error', 'upstream', 'never', 'The answer of the endpoint is not valid HTTP.'),
  response_head_too_large: row(502, 'http_response_header_section_size', 'upstream', 'never', 'The head of the answer is too large.'),
  response_transfer_coding: row(
    502,
    'http_response_transfer_coding',
    'upstream',
    'never',
    'The endpoint used a transfer coding that is not understood.',
  ),
  response_content_coding: row(
    502,
    'http_response_content_coding',
    'upstream',
    'never',
    'A hook has to read the answer of the endpoint, and its content coding is not understood.',
  ),
  response_body_too_large: row(
    502,
    'http_response_body_size',
    'upstream',
    'never',
    'The answer of the endpoint is larger than a hook takes.',
  ),
  response_denied: row(502, 'proxy_internal_response', 'plugin', 'never', 'A plugin refused the answer of the endpoint.'),
  upgrade_failed: row(502, 'http_upgrade_failed', 'upstream', 'never', 'The endpoint switched protocols without being asked.'),
  bad_hello: row(0, 'tls_protocol_error', 'downstream', 'never', 'The first message of TLS is malformed.'),
  hello_too_large: row(0, 'tls_protocol_error', 'downstream', 'never', 'The first message of TLS is too large.'),
  hello_timeout: row(0, 'tls_protocol_error', 'downstream', 'never', 'The first message of TLS did not arrive in time.'),
  handshake_failed: row(0, 'tls_protocol_error', 'downstream', 'never', 'The TLS handshake with the client failed.'),
  interception_refused: row(
    0,
    'tls_alert_received',
    'downstream',
    'never',
    'The client does not accept the certificate by which its TLS is read: it does not trust the authority, or accepts its own alone.',
  ),
  bad_socks: row(0, 'http_request_error', 'downstream', 'never', 'What the client says is not valid SOCKS.'),
  unsupported_socks: row(
    0,
    'http_request_error',
    'downstream',
    'never',
    'The client asks for something of SOCKS that is not offered here.',
  ),
  socks_timeout: row(0, 'http_request_error', 'downstream', 'never', 'The client did not say in time where it wants to go.'),
  tunnel_idle: row(0, 'connection_timeout', 'internal', 'never', 'No byte came either way for too long.'),
  client_message: row(0, 'http_request_error', 'downstream', 'never', 'The client sent a message that cannot be read.'),
  upstream_message: row(0, 'http_protocol_error', 'upstream', 'never', 'The endpoint sent a message that cannot be read.'),
  fault_injected: row(0, 'connection_terminated', 'config', 'never', 'The config makes some requests fail on purpose.'),
  plugin_failed: row(500, 'proxy_internal_error', 'plugin', 'never', 'A plugin failed.'),
  plugin_unavailable: row(503, 'proxy_internal_error', 'plugin', 'never', 'A plugin is parked after repeated failures.'),
  hook_failed: row(500, 'proxy_internal_error', 'config', 'never', 'A function of the configuration threw.'),
  overloaded: row(503, 'connection_limit_reached', 'internal', 'never', 'The proxy has reached its limit of connections.'),
  internal: row(500, 'proxy_internal_error', 'internal', 'never', 'The proxy failed.'),
} as const

export type ErrorCode = keyof typeof errorTable

export class ProxyError extends Error {
  readonly code: ErrorCode
  constructor(code: ErrorCode, detail?: string, cause?: unknown) {
    super(detail ?? errorTable[code].text, cause === undefined ? undefined : { cause })
    this.name = 'ProxyError'
    this.code = code
  }
  get status(): number {
    return errorTable[this.code].status
  }
  get retry(): RetryRule {
    return errorTable[this.code].retry
  }
}

function row(status: number, token: string, origin: ErrorOrigin, retry: RetryRule, text: string): ErrorRow {
  return { status, token, origin, retry, text }
}
