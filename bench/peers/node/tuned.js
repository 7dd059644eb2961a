// Node without the frameworks: node:http, node:crypto, pg.
import { createHmac, createPublicKey, timingSafeEqual, verify } from 'node:crypto'
import { createServer } from 'node:http'
import { GET, SYNC, parameters, pool } from './store.js'

const key = createPublicKey(process.env.CLERK_JWT_KEY)
const issuer = process.env.CLERK_ISSUER
const parties = process.env.CLERK_AUTHORIZED_PARTIES.split(',')
const secret = Buffer.from(process.env.CLERK_WEBHOOK_SIGNING_SECRET.slice('whsec_'.length), 'base64')

function session(authorization) {
  const [head, claims, signature] = authorization.slice('Bearer '.length).split('.')
  const signed = Buffer.from(`${head}.${claims}`)
  if (JSON.parse(Buffer.from(head, 'base64url')).alg !== 'RS256') throw new Error('alg')
  if (!verify('RSA-SHA256', signed, key, Buffer.from(signature, 'base64url'))) throw new Error('signature')
  const said = JSON.parse(Buffer.from(claims, 'base64url'))
  const now = Date.now() / 1000
  if (said.iss !== issuer || said.exp < now || said.nbf > now + 5 || !parties.includes(said.azp)) {
    throw new Error('claims')
  }
  return said
}

function isGenuine(headers, body) {
  const { 'svix-id': id, 'svix-timestamp': time, 'svix-signature': signatures } = headers
  if (Math.abs(Date.now() / 1000 - Number(time)) > 300) return false
  const expected = createHmac('sha256', secret).update(`${id}.${time}.`).update(body).digest()
  return signatures.split(' ').some((one) => {
    const given = Buffer.from(one.slice('v1,'.length), 'base64')
    return given.length === expected.length && timingSafeEqual(given, expected)
  })
}

async function me(request, response) {
  const { rows } = await pool.query(GET, [session(request.headers.authorization).sub])
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(rows[0]))
}

async function webhook(request, response) {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  const body = Buffer.concat(chunks)
  if (!isGenuine(request.headers, body)) return response.writeHead(400).end()
  await pool.query(SYNC, parameters(JSON.parse(body), request.headers['svix-id'], body))
  response.writeHead(204).end()
}

const routes = { '/v1/me': me, '/webhooks/clerk': webhook }

createServer(async (request, response) => {
  const route = routes[request.url]
  if (!route) return response.writeHead(200).end()
  try {
    await route(request, response)
  } catch {
    response.writeHead(500).end()
  }
}).listen(Number(process.env.PORT), '127.0.0.1')
