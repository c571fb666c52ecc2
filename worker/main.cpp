// modelhop-worker: trains what its scheduler leases to it. `modelhop-worker job`: one job for the command line.
#include <iostream>
#include <string_view>

#include "worker/process/arguments.h"
#include "worker/train/job_main.h"

int main(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "job") return modelhop::run_job(std::cin, std::cout);
  modelhop::ProcessConfig config;
  if (const auto code = modelhop::parse_arguments(argc, argv, config)) return *code;
  const auto trainer = modelhop::make_torch_trainer(config.threads);
  return modelhop::run_worker(config, *trainer);
}
