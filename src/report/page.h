// page.html as a constant; embed.cmake writes the definition at build time.
#pragma once

namespace heed::report {

extern const char kPage[];  // "@DATA@" stands where the page's data go, as JSON

}  // namespace heed::report
