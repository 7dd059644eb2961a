// Clerk's own way in Node: fastify, @clerk/fastify, verifyWebhook, pg.
import { clerkPlugin, getAuth } from '@clerk/fastify'
import { verifyWebhook } from '@clerk/fastify/webhooks'
import Fastify from 'fastify'
import { GET, SYNC, parameters, pool } from './store.js'

const app = Fastify()

app.get('/healthz', async () => ({ status: 'ok' }))

app.register(async (signedIn) => {
  signedIn.register(clerkPlugin, {
    jwtKey: process.env.CLERK_JWT_KEY,
    secretKey: process.env.CLERK_SECRET_KEY,
    publishableKey: process.env.CLERK_PUBLISHABLE_KEY,
    authorizedParties: process.env.CLERK_AUTHORIZED_PARTIES.split(','),
  })
  signedIn.get('/v1/me', async (request, reply) => {
    const { userId } = getAuth(request)
    if (!userId) return reply.code(401).send()
    const { rows } = await pool.query(GET, [userId])
    return rows[0]
  })
})

app.post('/webhooks/clerk', async (request, reply) => {
  let event
  try {
    event = await verifyWebhook(request)
  } catch {
    return reply.code(400).send()
  }
  // `verifyWebhook` keeps only type, data and attributes; the envelope's time is the header's.
  const timestamp = Number(request.headers['svix-timestamp']) * 1000
  const body = Buffer.from(JSON.stringify(request.body))
  await pool.query(SYNC, parameters({ ...event, timestamp }, request.headers['svix-id'], body))
  return reply.code(204).send()
})

await app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' })
