#pragma once
#include "worker/hop/hop.h"

namespace modelhop {

// Names a state and stores it, as a unit does whose state has to be durable first.
inline Result<StateRef> publish(Hop& hop, const StateRef& named, const StateArena& state, StateNaming naming) {
  const StateRef ref = Hop::name(named, state);
  RETURN_IF_ERROR(hop.store(ref, state, naming));
  return ref;
}

}  // namespace modelhop
