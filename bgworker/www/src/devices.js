// Cameras, microphones and screens: asking for them, and saying in words why one cannot be had.
import { t } from './i18n.js';

const CAMERA = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 24, max: 30 } };

function words(error, what) {
  if (error.name === 'NotAllowedError')
    return t("Access to the {device} is blocked. Allow it for this site in the browser's settings.", {
      device: t(what),
    });
  if (error.name === 'NotFoundError' || error.name === 'OverconstrainedError')
    return t('No {device} found.', { device: t(what) });
  if (error.name === 'NotReadableError') return t('Another app is using the {device}.', { device: t(what) });
  return t("The {device} can't be used.", { device: t(what) });
}

async function only(what, open) {
  if (!navigator.mediaDevices)
    throw new Error(t('Browsers allow the {device} only on pages served over HTTPS.', { device: t(what) }));
  try {
    return await open();
  } catch (error) {
    throw Object.assign(new Error(words(error, what)), { name: error.name });
  }
}

const first = async (stream) => (await stream).getTracks()[0];
const chosen = (id) => (id ? { deviceId: { exact: id } } : {});

export function openCamera(id) {
  return only('camera', () =>
    first(navigator.mediaDevices.getUserMedia({ video: { ...CAMERA, ...chosen(id) } })),
  );
}

export function openMicrophone(id) {
  return only('microphone', () => first(navigator.mediaDevices.getUserMedia({ audio: { ...chosen(id) } })));
}

// The track of the picture; where the browser and the user give sound, too, that is its `sound`.
export function openScreen() {
  const wanted = { video: { frameRate: { max: 15 } }, audio: true };
  return only('screen', async () => {
    const stream = await navigator.mediaDevices.getDisplayMedia(wanted);
    const [track] = stream.getVideoTracks();
    const [sound] = stream.getAudioTracks();
    return sound ? Object.assign(track, { sound }) : track;
  });
}

// The devices of a kind ("videoinput", "audioinput"); without a permission the browser tells no names.
export async function devices(kind) {
  const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return all
    .filter((one) => one.kind === kind && one.deviceId)
    .map((one, i) => ({ id: one.deviceId, label: one.label || `${i + 1}` }));
}
