import { defineConfig } from "vitest/config"

/**
 * Two projects: `unit` needs nothing, `integration` has a real Postgres and a real Kafka. The servers are started once
 * per run, and only when a file of `integration` is queued: name it `*.integration.test.ts`, or put it into `test/e2e`.
 */
const integration = ["test/**/*.integration.test.ts", "test/e2e/**/*.test.ts"]

export default defineConfig({
  test: {
    reporters: ["default", "./test/support/CountReporter.ts"],
    pool: "forks",
    maxWorkers: 2, // the servers need their share of a small machine
    projects: [
      {
        extends: true,
        test: { name: "unit", include: ["test/**/*.test.ts"], exclude: integration, testTimeout: 20_000 }
      },
      {
        extends: true,
        test: {
          name: "integration",
          include: integration,
          globalSetup: "./test/support/Servers.ts",
          testTimeout: 60_000,
          hookTimeout: 60_000
        }
      }
    ]
  }
})
