#pragma once
#include "common/base/status.h"

namespace modelhop {

// An eventfd: signal() from any thread ends the poll of the thread that watches descriptor().
class Wake {
 public:
  Wake();
  ~Wake();
  Wake(const Wake&) = delete;
  Wake& operator=(const Wake&) = delete;
  bool ok() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }
  void signal();
  void clear();

 private:
  const int descriptor_;
};

}  // namespace modelhop
