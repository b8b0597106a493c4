#include "config/values.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

namespace hadal {
namespace {

// 0 for a character that is no suffix.
int64_t suffix_factor(char suffix) {
  constexpr int64_t kKilo = 1000;
  constexpr int64_t kKibi = 1024;
  switch (suffix) {
    case 'k':
      return kKilo;
    case 'm':
      return kKilo * kKilo;
    case 'g':
      return kKilo * kKilo * kKilo;
    case 't':
      return kKilo * kKilo * kKilo * kKilo;
    case 'K':
      return kKibi;
    case 'M':
      return kKibi * kKibi;
    case 'G':
      return kKibi * kKibi * kKibi;
    case 'T':
      return kKibi * kKibi * kKibi * kKibi;
    default:
      return 0;
  }
}

template <typename T>
std::optional<T> parse_all(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::optional<int64_t> parse_integer(std::string_view text) {
  int64_t factor = 1;
  if (!text.empty() && suffix_factor(text.back()) != 0) {
    factor = suffix_factor(text.back());
    text.remove_suffix(1);
  }
  const auto value = parse_all<int64_t>(text);
  if (!value) return std::nullopt;
  int64_t product = 0;
  if (__builtin_mul_overflow(*value, factor, &product)) return std::nullopt;
  return product;
}

std::optional<double> parse_number(std::string_view text) {
  const auto value = parse_all<double>(text);
  if (!value || !std::isfinite(*value)) return std::nullopt;
  return value;
}

std::optional<bool> parse_switch(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (lower == "true" || lower == "1" || lower == "yes" || lower == "on") return true;
  if (lower == "false" || lower == "0" || lower == "no" || lower == "off") return false;
  return std::nullopt;
}

std::string_view nearest(std::string_view text, std::span<const std::string_view> candidates) {
  std::string_view best;
  size_t best_distance = std::numeric_limits<size_t>::max();
  for (const std::string_view candidate : candidates) {
    const size_t distance = edit_distance(text, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace hadal
