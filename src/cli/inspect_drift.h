// Calibration and input drift of a model, as one JSON object or as text.
#pragma once

#include <cstdint>
#include <string>

namespace heed::cli {

struct DriftOptions {
  std::string model;  // a .heed file, or "hosts" or "products" of a server that runs
  // A file is judged on a described data set,
  std::string recipe, directory;
  std::string split = "test";
  // a name where a server listens that learns.
  std::string host = "127.0.0.1", key;
  uint16_t port = 0;
  bool json = false;
};

int InspectDriftOfFile(const DriftOptions& options);
int InspectDriftOfServer(const DriftOptions& options);

}  // namespace heed::cli
