// Counts what the program asks of operator new. Linking hadal_count_allocations replaces it.
#pragma once

#include <cstdint>

namespace hadal::test {

int64_t allocations();  // since the program's start, of all threads

}  // namespace hadal::test
