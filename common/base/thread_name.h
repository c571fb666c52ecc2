#pragma once
#include <pthread.h>

namespace modelhop {

// Names the calling thread, for `top -H`, debuggers and bench/overhead. At most 15 characters; not for a main thread,
// whose name is its program's.
inline void name_thread(const char* name) { ::pthread_setname_np(::pthread_self(), name); }

}  // namespace modelhop
