#include "event/event.h"

namespace heed::event {

Data::Data() = default;
Data::Data(const Data& other) = default;
Data::Data(Data&& other) noexcept = default;
Data& Data::operator=(const Data& other) = default;
Data& Data::operator=(Data&& other) noexcept = default;
Data::~Data() = default;

bool operator==(const Data& a, const Data& b) {
  return static_cast<const AnyData&>(a) == static_cast<const AnyData&>(b);
}

}  // namespace heed::event
