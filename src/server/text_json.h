// What texts mean and what rooms are like, as JSON: the same from the API and from heed watch.
#pragma once

#include <boost/json.hpp>

#include "engine/room_desk.h"

namespace heed::server {

// {"pack","version","rule","severity","basis","begin","end","words","allowed_by"}, the last where evidence
// lets it pass. `text`: which the hit is in.
boost::json::object LintJson(const text::LintHit& hit, std::string_view text);
// {"session","ts","questions":[…]}
boost::json::object QuestionsJson(const engine::RoomQuestions& asked);
// All of RoomComments in openapi.json but "room".
boost::json::object CommentsJson(const engine::RoomCommentView& view);
// A probability, or another number that comes of float: six digits.
double Rounded(double value);

}  // namespace heed::server
