#pragma once
// `modelhop-worker job`: a job's request as JSON on one stream, its results as JSON lines on another.
//
// {"job":"verify","store":PATH,"dataset":NAME,"threads":1,"trials":[{"trial":"e1.3","id":3,"offset":2,"recipe":{...},
//   "checks":[{"visits":4,"hash":"..."}]}]}
//   -> {"trial":"e1.3","visits":4,"hash":"...","expected":"...","ok":true} for each check, as soon as it is known
// {"job":"score","store":PATH,"dataset":NAME,"split":"test"|"validation","recipe":{...},"state":"states/....safetensors"}
//   -> {"rows":N,"loss":0.31,"accuracy":0.89,...}; a value that is not finite is null
// Both -> {"error":"..."} as the last line where the job could not be done.
#include <iosfwd>

namespace modelhop {

// 0: the job was done, whatever it found. 1: it could not be.
int run_job(std::istream& in, std::ostream& out);

}  // namespace modelhop
