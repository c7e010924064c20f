// The ordinary way without the rule that a body that breaks off is not stored: what that rule costs.
import { call, rules } from "./ordinary.mjs";

rules.refusesBrokenBodies = false;

// It makes a difference in this case alone.
const only = "miss";

export { call, only };
