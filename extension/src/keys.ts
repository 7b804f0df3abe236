// What keys are called.

import type { Key } from "./generated/message.js";
import { t } from "./text.js";

/** By the user, if they named it. That it is a software key is to be said beside it. */
export const nameOf = ({ name, kind, id, label }: Key): string => name ?? (kind === "software" ? id.replace(/^soft:/, "") : label);

/** As `nameOf`, where nothing stands beside it. */
export const fullNameOf = (key: Key): string => (key.kind === "software" ? t("popup_software_named", nameOf(key)) : nameOf(key));
