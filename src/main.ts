import { launch, program } from "./cli/Program.ts"

launch(program)
