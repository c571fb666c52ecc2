#include "common/base/unit.h"

#include "common/base/check.h"

namespace modelhop {

const char* to_string(Fault fault) {
  switch (fault) {
    case Fault::kNone:
      return "none";
    case Fault::kUserCode:
      return "user_code";
    case Fault::kInvalidParams:
      return "invalid_params";
    case Fault::kOutOfMemory:
      return "out_of_memory";
    case Fault::kData:
      return "data";
    case Fault::kEnvironment:
      return "environment";
    case Fault::kWorkerLost:
      return "worker_lost";
    case Fault::kHashMismatch:
      return "hash_mismatch";
  }
  check_failed(__FILE__, __LINE__, "a Fault has a name");
}

const char* to_string(UnitKind kind) { return kind == UnitKind::kTrain ? "train" : "evaluate"; }

const char* to_string(HopPath path) {
  switch (path) {
    case HopPath::kInitial:
      return "initial";
    case HopPath::kStay:
      return "stay";
    case HopPath::kStore:
      return "store";
  }
  check_failed(__FILE__, __LINE__, "a HopPath has a name");
}

}  // namespace modelhop
