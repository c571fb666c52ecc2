// modelhop-worker: trains what its scheduler leases to it.
#include "worker/process/arguments.h"

int main(int argc, char** argv) {
  modelhop::ProcessConfig config;
  if (const auto code = modelhop::parse_arguments(argc, argv, config)) return *code;
  const auto trainer = modelhop::make_torch_trainer(config.threads);
  return modelhop::run_worker(config, *trainer);
}
