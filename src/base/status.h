// Status and Result are part of the public API; modules include them by this name.
#pragma once

#include "heed/status.h"  // IWYU pragma: export
