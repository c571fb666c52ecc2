#pragma once

namespace modelhop {

inline constexpr char kModelhopVersion[] = "0.1.0";  // CMakeLists.txt says the same

}  // namespace modelhop
