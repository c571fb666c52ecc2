#pragma once
#include <stdlib.h>
#include <unistd.h>
#include <filesystem>
#include <string>

// A folder of its own that is gone at the end.
class Scratch {
 public:
  explicit Scratch(const std::filesystem::path& parent = std::filesystem::temp_directory_path()) {
    std::string name = (parent / "modelhop-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr)
      throw std::filesystem::filesystem_error(name, std::error_code(errno, std::system_category()));
    path = name;
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::string operator/(const std::string& name) const { return path + "/" + name; }
  std::string path;
};

// The same in memory where there is such a place: for tests with thousands of fsyncs that need no disk.
class MemoryScratch : public Scratch {
 public:
  MemoryScratch()
      : Scratch(access("/dev/shm", W_OK) == 0 ? std::filesystem::path("/dev/shm")
                                              : std::filesystem::temp_directory_path()) {}
};
