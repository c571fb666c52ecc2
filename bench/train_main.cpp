// One side of `./dev bench train`: our training loop over real rows. Reads "go" lines, trains one epoch (P = 1) for
// each, and prints its seconds. Arguments: RECIPE ROWS X Y: a recipe's JSON, and files of 28 x 28 bytes and of labels.
#include <fstream>
#include <iostream>
#include <iterator>

#include "common/base/time.h"
#include "worker/train/trainer.h"

namespace modelhop {
namespace {

std::vector<std::uint8_t> read_bytes(const char* path, std::uint64_t size) {
  std::ifstream file(path, std::ios::binary);
  std::vector<std::uint8_t> bytes(std::istreambuf_iterator<char>(file), {});
  bytes.resize(size);
  return bytes;
}

Status run(char** argv) {
  const std::uint64_t rows = std::stoull(argv[2]);
  Manifest manifest;
  manifest.name = "bench";
  manifest.columns = {{"x", DType::kU8, {1, 28, 28}}, {"y", DType::kU8, {}}};
  manifest.classes = 10;
  manifest.partitions.resize(1);
  manifest.partitions[0].rows = rows;
  const Partition data(rows, read_bytes(argv[3], rows * 784), read_bytes(argv[4], rows));
  ASSIGN_OR_RETURN(const Recipe recipe, parse_recipe(argv[1], manifest));
  const auto trainer = make_torch_trainer(1);
  ASSIGN_OR_RETURN(const std::shared_ptr<const StateLayout> layout, trainer->layout(recipe, manifest));
  StateArena state(layout);
  RETURN_IF_ERROR(trainer->initialize(recipe, manifest, {1}, state));
  for (std::string line; std::getline(std::cin, line);) {
    const Instant start = monotonic_now();
    ASSIGN_OR_RETURN(const VisitResult result, trainer->train({{1}, {0}, 1, &recipe, &manifest, &data}, state, {}));
    const double seconds = static_cast<double>(monotonic_now() - start) / kSecond;
    std::cout << seconds << " " << result.train[0].total / static_cast<double>(result.train[0].weight) << std::endl;
  }
  return {};
}

}  // namespace
}  // namespace modelhop

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: modelhop-bench-train RECIPE ROWS X Y\n";
    return 2;
  }
  const modelhop::Status status = modelhop::run(argv);
  if (!status.ok()) std::cerr << status.message() << "\n";
  return status.ok() ? 0 : 1;
}
