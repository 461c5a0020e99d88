// Net <-> bytes. Format: docs/formats/model.md, version 1.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "model/ranker_net.h"

namespace heed::model {

std::string EncodeNet(const Net& net);
// Never trusts `bytes`; EncodeNet of the result gives the same bytes again.
Result<std::unique_ptr<Net>> DecodeNet(std::string_view bytes);

}  // namespace heed::model
