// The scanner against the regex engine that the tokenizers library uses, with the three patterns as
// the tokenizer file spells them, applied one after the other.
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "hadal/base/utf8.h"
#include "text/onig_split.h"
#include "text/piece_scanner.h"
#include "text/tokenizer_files.h"

namespace hadal {
namespace {

class PieceScannerOnig : public testing::Test {
 protected:
  PieceScannerOnig() {
    const nlohmann::json steps =
        test::read_json("tests/models/tiny-r1/tokenizer.json")["pre_tokenizer"]["pretokenizers"];
    for (size_t i = 0; i < 3; ++i) {
      splits_.push_back(std::make_unique<test::OnigSplit>(steps[i]["pattern"]["Regex"]));
    }
  }

  std::vector<std::string_view> reference(std::string_view text) {
    std::vector<std::string_view> pieces = {text};
    for (const auto& split : splits_) {
      std::vector<std::string_view> next;
      for (const std::string_view piece : pieces) split->apply(piece, next);
      pieces = std::move(next);
    }
    return pieces;
  }

  void expect_equal(std::string_view text) {
    std::vector<std::string_view> pieces;
    PieceScanner scanner(text);
    for (std::string_view piece; scanner.next(piece);) pieces.push_back(piece);
    ASSERT_EQ(pieces, reference(text)) << nlohmann::json(std::string(text)).dump();
  }

  std::vector<std::unique_ptr<test::OnigSplit>> splits_;
};

TEST_F(PieceScannerOnig, EveryCodePointBetweenNeighboursOfEveryClass) {
  // Each context makes another alternative the one that decides. Planes 4 to 13 are empty in
  // Unicode 14: there a sample does.
  constexpr char32_t kStride = 251;
  for (char32_t c = 0; c <= 0x10FFFF; c += c >= 0x40000 && c < 0xDFF00 ? kStride : 1) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string x;
    append_utf8(x, c);
    expect_equal(x + "a " + x + "." + x + "  " + x + "\n" + x + x + "é9" + x + "日" + x);
    if (HasFatalFailure()) return;
  }
}

// Code points that sit on the edges of the patterns' classes and ranges, and plain ones.
const std::vector<char32_t> kAlphabet = {
    0,      1,       '\t',    '\n',    0x0B,    '\r',    0x1C,    ' ',     ' ',    ' ',    '!',
    '\'',   '$',     '+',     ',',     '-',     '.',     '/',     '0',     '9',    ':',    '<',
    '=',    '@',     'A',     'Z',     '[',     '\\',    ']',     '^',     '_',    '`',    'a',
    'z',    '{',     '|',     '}',     '~',     0x7F,    0x85,    0xA0,    0xAA,   0xAD,   0xB2,
    0xBD,   0xE9,    0x2B0,   0x300,   0x345,   0x378,   0x483,   0x661,   0x903,  0x966,  0x16EE,
    0x1680, 0x180E,  0x2000,  0x200A,  0x200B,  0x200D,  0x2028,  0x2029,  0x202F, 0x203F, 0x205F,
    0x2060, 0x20AC,  0x20E3,  0x2160,  0x3000,  0x3001,  0x3007,  0x303F,  0x3040, 0x3041, 0x3097,
    0x3099, 0x309B,  0x309F,  0x30A0,  0x30A1,  0x30FB,  0x30FF,  0x3100,  0x33FF, 0x4DFF, 0x4E00,
    0x65E5, 0x9FA5,  0x9FA6,  0x9FFF,  0xAC00,  0xE000,  0xFE0F,  0xFEFF,  0xFF10, 0xFF5C, 0xFFFD,
    0xFFFF, 0x10107, 0x1D165, 0x1F389, 0x1F3FB, 0x20000, 0xE0001, 0x10FFFF};

TEST_F(PieceScannerOnig, RandomStrings) {
  constexpr uint32_t kSeed = 20261124;
  RecordProperty("seed", static_cast<int>(kSeed));
  std::mt19937 random(kSeed);
  std::uniform_int_distribution<size_t> length(0, 40);
  std::uniform_int_distribution<size_t> pick(0, kAlphabet.size() - 1);
  std::uniform_int_distribution<char32_t> any(0, 0x10FFFF);
  for (int i = 0; i < 60'000; ++i) {
    std::string text;
    // Few different characters make long runs, many make many borders.
    const size_t different = i % 3 == 0 ? 3 : kAlphabet.size();
    std::vector<char32_t> letters(different);
    for (char32_t& letter : letters) letter = kAlphabet[pick(random)];
    for (size_t n = length(random); n > 0; --n) {
      char32_t c = letters[pick(random) % different];
      if (i % 3 == 2 && n % 4 == 0) c = any(random);
      if (c < 0xD800 || c > 0xDFFF) append_utf8(text, c);
    }
    expect_equal(text);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace hadal
