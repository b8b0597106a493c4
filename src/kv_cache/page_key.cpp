#include "hadal/kv_cache/page_key.h"

#include <openssl/evp.h>

#include <memory>

#include "hadal/base/check.h"

namespace hadal {
namespace {

// One hashing context a thread, reused: creating one costs more than hashing a page.
class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    HADAL_CHECK(context_ != nullptr, "OpenSSL gave no digest context");
    HADAL_CHECK(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1,
                "OpenSSL has no SHA-256");
  }

  void start() { require(EVP_DigestInit_ex(context_.get(), nullptr, nullptr)); }
  void add(std::span<const std::byte> bytes) {
    require(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()));
  }
  PageKey finish() {
    PageKey key;
    require(EVP_DigestFinal_ex(context_.get(), key.digest.data(), nullptr));
    return key;
  }

 private:
  static void require(int ok) { HADAL_CHECK(ok == 1, "SHA-256 failed"); }
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

Sha256& started_sha256() {
  thread_local Sha256 sha256;
  sha256.start();
  return sha256;
}

}  // namespace

PageKey root_key(std::string_view salt) {
  Sha256& sha256 = started_sha256();
  sha256.add(std::as_bytes(std::span(salt)));
  return sha256.finish();
}

PageKey page_key(const PageKey& parent, std::span<const TokenId, kPageTokens> tokens,
                 TokenId next) {
  Sha256& sha256 = started_sha256();
  sha256.add(std::as_bytes(std::span(parent.digest)));
  sha256.add(std::as_bytes(tokens));
  sha256.add(std::as_bytes(std::span(&next, 1)));
  return sha256.finish();
}

void PageKeyChain::extend(std::span<const TokenId> tokens) {
  while (tokens.size() > (keys_.size() + 1) * kPageTokens) {
    const size_t first = keys_.size() * kPageTokens;
    keys_.push_back(page_key(keys_.empty() ? root_ : keys_.back(),
                             tokens.subspan(first).first<kPageTokens>(),
                             tokens[first + kPageTokens]));
  }
}

}  // namespace hadal
