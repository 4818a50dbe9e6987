// The few pictures the pages use: one path each on a 16 px grid, coloured by
// the text around them.

import type { JSX } from "solid-js";

const PATHS = {
  ok: "M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1Zm3.3 4.3L7 9.6 4.7 7.3 3.6 8.400 7 11.800l5.400-5.400z",
  warn: "M8 1.200 15.400 14.500H.6zM7.200 5.800v4.200h1.600V5.800zm0 5.400v1.700h1.600v-1.700z",
  crit: "M5.100 1h5.800L15 5.100v5.800L10.900 15H5.100L1 10.900V5.100zM7.100 4v5h1.800V4zm0 6.200V12h1.800v-1.800z",
  offline: "M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1Zm0 1.800a5.200 5.200 0 1 0 0 10.400A5.200 5.200 0 0 0 8 2.800ZM6.300 5.100 8 6.800l1.700-1.700 1.200 1.200L9.200 8l1.700 1.700-1.200 1.200L8 9.200l-1.700 1.700-1.200-1.200L6.800 8 5.100 6.300z",
  nodata: "M8 1a7 7 0 0 1 2.700.5l-.6 1.500A5.400 5.400 0 0 0 8 2.600V1Zm4.500 1.600A7 7 0 0 1 15 8h-1.600a5.400 5.400 0 0 0-2-4.200zM1 8a7 7 0 0 1 2.500-5.400l1.100 1.200A5.400 5.400 0 0 0 2.600 8zm.5 2.700 1.500-.6a5.400 5.400 0 0 0 2.900 2.900l-.6 1.500a7 7 0 0 1-3.800-3.800zm6.500 2.700a5.400 5.400 0 0 0 4.200-2l1.200 1.100A7 7 0 0 1 8 15z",
  paused: "M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1ZM5.500 5v6h1.800V5zm3.200 0v6h1.800V5z",
  plus: "M7.200 2h1.600v5.200H14v1.600H8.800V14H7.200V8.800H2V7.200h5.200z",
  search: "M7 1.500a5.500 5.500 0 0 1 4.400 8.800l3.200 3.200-1.100 1.100-3.200-3.200A5.500 5.500 0 1 1 7 1.500Zm0 1.600a3.900 3.900 0 1 0 0 7.800 3.900 3.900 0 0 0 0-7.800Z",
  sliders: "M1 4h6.200a2 2 0 0 1 3.700 0H15v1.500h-4.100a2 2 0 0 1-3.700 0H1zm0 6.500h2.200a2 2 0 0 1 3.700 0H15V12H6.900a2 2 0 0 1-3.700 0H1z",
  bell: "M8 1.500c2.700 0 4.500 2 4.500 4.600v2.700l1.300 2.200c.2.400 0 .9-.5.900H2.700c-.5 0-.7-.5-.5-.900l1.300-2.200V6.100C3.500 3.500 5.300 1.500 8 1.500ZM6.200 13h3.600a1.900 1.900 0 0 1-3.600 0z",
  sun: "M8 4.500a3.500 3.500 0 1 1 0 7 3.500 3.500 0 0 1 0-7ZM7.300.5h1.400v2.200H7.300zm0 12.800h1.400v2.200H7.300zM.5 7.300h2.200v1.400H.5zm12.800 0h2.200v1.400h-2.200zM2.200 3.200l1-1 1.600 1.600-1 1zm9 9 1-1 1.600 1.600-1 1zm0-8.400 1.600-1.600 1 1-1.600 1.600zm-9 9 1.600-1.600 1 1-1.600 1.600z",
  moon: "M6.500 1.500a6.700 6.700 0 1 0 8 8.300A5.800 5.800 0 0 1 6.500 1.500Z",
  system: "M1.500 2.500h13v9h-5v1.500h2v1.300h-7V13h2v-1.500h-5zM3 4v6h10V4z",
  left: "M10.300 2.500 11.400 3.600 7 8l4.400 4.400-1.100 1.100L4.800 8z",
  right: "m5.700 2.500-1.100 1.100L9 8l-4.400 4.400 1.100 1.100L11.200 8z",
  minus: "M2 7.200h12v1.600H2z",
  copy: "M5 1h9v10h-2.500v1.500H14A1.500 1.500 0 0 0 15.500 11V1.500A1.500 1.500 0 0 0 14 0H5.500zM2 4h7.500v10.500H2zM.5 4v11A1 1 0 0 0 1.500 16h8.500a1 1 0 0 0 1-1V3.500a1 1 0 0 0-1-1H1.500a1 1 0 0 0-1 1z",
  close: "m3.600 2.500 4.400 4.400 4.400-4.400 1.100 1.100L9.100 8l4.400 4.400-1.100 1.100L8 9.100l-4.400 4.400-1.100-1.100L6.900 8 2.500 3.600z",
} as const;

export type IconName = keyof typeof PATHS;

/** A picture beside words; hidden from screen readers, which read the words. */
export function Icon(props: { name: IconName; class?: string }): JSX.Element {
  return (
    <svg class={`icon ${props.class ?? ""}`} viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
      <path d={PATHS[props.name]} fill="currentColor" fill-rule="evenodd" />
    </svg>
  );
}

/** The product's mark: a bell with the moon in it. */
export function Logo(props: { size: number }): JSX.Element {
  return <img class="logo" src="/favicon.svg" alt="" width={props.size} height={props.size} />;
}
