// Hours of the day on certain days, as fields: quiet hours and those of routes.

import type { JSX } from "solid-js";
import { DAYS } from "../lib/routes";
import type { Hours } from "../types";
import { TextField } from "./forms";
import { Picks } from "./picks";

const WORDS: Record<string, string> = { mon: "Mon", tue: "Tue", wed: "Wed", thu: "Thu", fri: "Fri", sat: "Sat", sun: "Sun" };

export function HoursFields(props: { hours: Hours; onChange: (part: Partial<Hours>) => void }): JSX.Element {
  return (
    <>
      <div class="field-row">
        <TextField label="From" type="time" required value={props.hours.from.slice(0, 5)} onValue={(from) => props.onChange({ from })} />
        <TextField label="To" type="time" hint="The next day, if that is not later." required value={props.hours.to.slice(0, 5)} onValue={(to) => props.onChange({ to })} />
      </div>
      <Picks label="Days on which they begin" options={DAYS.map((day) => [day, WORDS[day] ?? day])} chosen={props.hours.weekdays} onChosen={(days) => props.onChange({ weekdays: [...days] })} none="Every day, if none is chosen." />
      <TextField label="Time zone" hint="Empty for the hub's." value={props.hours.timezone ?? ""} onValue={(zone) => props.onChange({ timezone: zone.trim() || null })} />
    </>
  );
}
