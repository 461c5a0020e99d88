// A ranker's configuration as bytes: the tensor "config" of a model file (docs/formats/model.md).
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "model/ranker.h"

namespace heed::model {

std::string EncodeConfig(const RankerConfig& config);
// kCorruption when damaged or of a version not known here. Sizes are not judged (ValidateConfig).
Result<RankerConfig> DecodeConfig(std::string_view bytes);

}  // namespace heed::model
