#include "text/piece_scanner.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace hadal {
namespace {

using Pieces = std::vector<std::string>;

Pieces pieces_of(std::string_view text) {
  Pieces pieces;
  PieceScanner scanner(text);
  for (std::string_view piece; scanner.next(piece);) pieces.emplace_back(piece);
  return pieces;
}

struct Vector {
  std::string text;
  Pieces pieces;
};

// Made with Python's `regex` module, the three patterns applied one after the other.
const std::vector<Vector> kVectors = {
    {"", {}},
    {"Hello, world!", {"Hello", ",", " world", "!"}},
    {"The price is 1234567.89 dollars",
     {"The", " price", " is", " ", "123", "456", "7", ".", "89", " dollars"}},
    {"a  b", {"a", " ", " b"}},
    {"a  1", {"a", "  ", "1"}},
    {"a   日本", {"a", "   ", "日本"}},
    {"don't (foo) a.b", {"don", "'t", " (", "foo", ")", " a", ".b"}},
    {"line1\n\n  line2", {"line", "1", "\n\n", " ", " line", "2"}},
    {"x = y_1 + 2;\n", {"x", " =", " y", "_", "1", " +", " ", "2", ";\n"}},
    {"\ttab\tx", {"\ttab", "\tx"}},
    {"日本語テスト123字", {"日本語テスト", "123", "字"}},
    {"½ ² Ⅷ", {"½", " ", "²", " ", "Ⅷ"}},
    {"hi\u200bthere \u200b \u200b1", {"hi", "\u200bthere", " ", "\u200b", " ", "\u200b", "1"}},
    {"end  ", {"end", "  "}},
    {"end \n", {"end", " \n"}},
    {"$5.00/kg", {"$", "5", ".", "00", "/kg"}},
    {"'s 'S", {"'s", " '", "S"}},
};

TEST(PieceScanner, CutsTheTableOfVectors) {
  for (const Vector& vector : kVectors) EXPECT_EQ(pieces_of(vector.text), vector.pieces);
}

TEST(PieceScanner, ChopsNumbersByThree) {
  EXPECT_EQ(pieces_of("1"), (Pieces{"1"}));
  EXPECT_EQ(pieces_of("123"), (Pieces{"123"}));
  EXPECT_EQ(pieces_of("1234"), (Pieces{"123", "4"}));
  EXPECT_EQ(pieces_of("1२½٤"), (Pieces{"1२½", "٤"}));
}

TEST(PieceScanner, KanaPunctuationIsCutInsideItsStretch) {
  // U+30FB is punctuation and U+309B a symbol, both inside the range of split 2.
  EXPECT_EQ(pieces_of("ア・イ゛"), (Pieces{"ア", "・", "イ", "゛"}));
  EXPECT_EQ(pieces_of("a・b"), (Pieces{"a", "・", "b"}));
}

TEST(PieceScanner, ControlCharactersAreKeptAndMayLeadAWord) {
  const std::string text("\0\x01\x7f\0x", 5);
  EXPECT_EQ(pieces_of(text), (Pieces{std::string("\0\x01\x7f", 3), std::string("\0x", 2)}));
}

TEST(PieceScanner, OnlyAsciiLettersFollowAsciiPunctuation) {
  EXPECT_EQ(pieces_of(".aé"), (Pieces{".a", "é"}));
  EXPECT_EQ(pieces_of(".é"), (Pieces{".", "é"}));
}

TEST(PieceScanner, WhiteSpaceKeepsItsLastNewlineTogether) {
  EXPECT_EQ(pieces_of(" \n \r\n  x"), (Pieces{" \n \r\n", " ", " x"}));
  EXPECT_EQ(pieces_of("\u3000\u3000x"), (Pieces{"\u3000", "\u3000x"}));
  EXPECT_EQ(pieces_of("\n\nx"), (Pieces{"\n\n", "x"}));
  EXPECT_EQ(pieces_of("!\r\n\nx"), (Pieces{"!\r\n\n", "x"}));
}

}  // namespace
}  // namespace hadal
