// Text → value, for flags from every source.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace hadal {

// A decimal integer with an optional suffix: k, m, g, t (powers of 1000) or K, M, G, T (of 1024).
// Nothing for anything else, a value that does not fit included.
std::optional<int64_t> parse_integer(std::string_view text);

std::optional<double> parse_number(std::string_view text);

// true, false, 1, 0, yes, no, on, off; in any case.
std::optional<bool> parse_switch(std::string_view text);

// The candidate with the smallest edit distance to `text`; empty when there is no candidate.
std::string_view nearest(std::string_view text, std::span<const std::string_view> candidates);

}  // namespace hadal
