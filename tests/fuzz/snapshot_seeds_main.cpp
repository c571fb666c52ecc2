// Writes states as they are saved along a history: the seeds of snapshot_fuzz. usage: snapshot_seeds FOLDER
#include <filesystem>
#include <fstream>

#include "tests/scheduler/server/history.h"

using namespace modelhop;

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::filesystem::create_directories(argv[1]);
  test::History history;
  for (int number = 0; number < 20; ++number) {
    const std::vector<std::uint8_t> bytes = history.core.save();
    std::ofstream out(std::string(argv[1]) + "/" + std::to_string(number), std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    if (number % 7 == 0) history.create(2, 1);
    history.end_lease(number % 5 == 4 ? test::History::How::kFail : test::History::How::kFinish);
  }
  return 0;
}
