import { connect, type Servers } from "./Servers.ts"

export interface LoadOptions {
  readonly rowsPerSecond: number
  readonly seconds: number
  /** Inserts one row for each element of the text array `$1`, in one statement. */
  readonly statement: string
  readonly outreaches: ReadonlyArray<string>
}

const sessions = 8
/** Above it a transaction takes several rows: one a row would measure how fast this machine commits. */
const mostTransactionsPerSecond = 500

/** Inserts at a steady rate, each outreach in turn. Returns how many rows a second it really was. */
export const insertAtRate = async (servers: Pick<Servers, "databaseUrl">, { outreaches, rowsPerSecond, seconds, statement }: LoadOptions): Promise<number> => {
  const rowsPerTransaction = Math.ceil(rowsPerSecond / mostTransactionsPerSecond)
  const rows = rowsPerSecond * seconds
  const clients = await Promise.all(Array.from({ length: sessions }, () => connect(servers)))
  const started = performance.now()
  await Promise.all(clients.map(async (client, session) => {
    for (let row = session * rowsPerTransaction; row < rows; row += sessions * rowsPerTransaction) {
      const wait = started + (row / rowsPerSecond) * 1000 - performance.now()
      if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
      const ids = Array.from({ length: Math.min(rowsPerTransaction, rows - row) }, (_, n) => outreaches[(row + n) % outreaches.length])
      await client.query({ name: "load", text: statement, values: [ids] })
    }
  }))
  const achieved = rows / ((performance.now() - started) / 1_000)
  await Promise.all(clients.map((client) => client.end()))
  return Math.round(achieved)
}
