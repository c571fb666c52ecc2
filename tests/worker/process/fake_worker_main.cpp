// modelhop-fake-worker: the worker's process with a torch-free trainer, for system tests and ThreadSanitizer.
// MODELHOP_FAKE_BATCH_US: how long a batch takes.
#include <cstdlib>

#include "tests/worker/process/fake_trainer.h"
#include "worker/process/arguments.h"

int main(int argc, char** argv) {
  modelhop::ProcessConfig config;
  if (const auto code = modelhop::parse_arguments(argc, argv, config)) return *code;
  const char* batch = std::getenv("MODELHOP_FAKE_BATCH_US");
  modelhop::FakeTrainer trainer(std::chrono::microseconds(batch == nullptr ? 0 : std::atoi(batch)));
  return modelhop::run_worker(config, trainer);
}
