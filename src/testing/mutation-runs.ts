/** How many mutated inputs a fuzz test tries: some thousands in every run of the tests, 100,000 and more where `make nightly` asks for them. */
export function mutationRuns(usual: number): number {
  return Number(process.env['ARTIFACT_STORE_MUTATIONS'] ?? usual)
}
