#pragma once
#include "common/base/status.h"

// Refuses a record that does not fit the state. `message` is made only then.
#define REFUSE_IF(condition, message)                   \
  do {                                                  \
    if (condition) return ::modelhop::corrupt(message); \
  } while (false)
