// Writes one file for each kind of frame and record: the seeds of wire_fuzz. usage: wire_seeds FOLDER
#include <filesystem>
#include <fstream>

#include "tests/common/wire/filler.h"

using namespace modelhop;

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::filesystem::create_directories(argv[1]);
  int number = 0;
  const auto write = [&](const auto& bytes) {
    std::ofstream out(std::string(argv[1]) + "/" + std::to_string(number++), std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  };
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    for (const ToScheduler& message : one_of_each<ToScheduler>(seed)) write(encode(message));
    for (const ToWorker& message : one_of_each<ToWorker>(seed)) write(encode(message));
    for (const RecordBody& body : one_of_each<RecordBody>(seed)) {
      write(std::string(1, static_cast<char>(body.index())) + to_json(body));
    }
  }
  return 0;
}
