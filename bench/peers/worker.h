// The worker's side of bench/peers: what peers.py says on standard input and what it is answered.
//
//   worker → {"ready": true, "version": "…", "variants": ["dot_fp32", …]}
//   peers  → {"variant": "dot_fp32", "requests": [0, 20]}
//   worker → {"ms": [0.5, …], "max_abs_error": 1e-06}     one time for each of requests 0 to 19
//
// The error is the largest difference from the truth among those requests that have one, null when none
// has. The worker ends when its input does. One thread; peers.py pins the process to a core.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "peers/r1_data.h"

namespace heed::r1 {

struct Variant {
  std::string name;
  Family family = Family::kDot;
  // Everything between a request's ids and its logits [candidates][kOutputs], lookups included; this is
  // what is timed.
  std::function<void(const Request& request, float* logits)> score;
};

// Opens the data folder argv[1], lets `make` build the variants, serves them until the end of input.
// Returns the exit status of the process; what went wrong is on standard error.
int ServeWorker(int argc, char** argv, const std::string& version,
                const std::function<std::vector<Variant>(const Data&)>& make);

}  // namespace heed::r1
