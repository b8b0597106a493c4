// Text → the prompt tokens of a request, with the checks that need the model.
#pragma once

#include <vector>

#include "hadal/base/ids.h"
#include "hadal/base/status.h"
#include "hadal/server/server.h"
#include "server/api_request.h"

namespace hadal {

// One token sequence a prompt (a chat has one). kTooLarge: one leaves no room for an answer in the
// model's context; a text that cannot fit is refused before it is tokenised.
Result<std::vector<std::vector<TokenId>>> make_prompts(const ApiRequest& request,
                                                       const ServedModel& model);

}  // namespace hadal
